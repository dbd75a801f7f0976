"""Optional parts of logtracer; each needs `logtracer.py` and what its line here names.

    facts.py      what anyone asks of a trace; analysis, check, diff, formats, query, testing,
                  viewer and why need it besides what stands here
    adapters/     record what frameworks and SDKs do            conventions
    stores/       SQLite, PostgreSQL, several, in background    analysis (inferring alone)
    conventions/  names of OpenTelemetry and of its dialects
    importers/    traces of other tools                         conventions
    otlp/         traces to an OTLP receiver                    conventions
    analysis/     time, tokens, cost, retries, data flow
    diff/         two traces or two groups of them
    check/        runs that only look successful                analysis, conventions, diff, query
    testing/      tests made from traces                        analysis, check, diff, query, why
    viewer/       the page
    query.py      the filter language                           analysis
    why.py        why a node failed
    formats.py    other tools' file formats                     conventions, otlp, viewer
    following.py  a journal or a store as it grows
    terminal/     the commands of `logtracer_cli.py`            all of these

Nothing below `terminal/` imports it or `logtracer_cli`. `sqlite`, `postgres`, `background`, `tee`
and `listing` are the paths that people import stores from; what they name lives in `stores/`.
"""
