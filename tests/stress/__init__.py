"""What the hard tests share: figures, stores, processes, and what they ask of a trace."""
