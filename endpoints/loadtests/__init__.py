"""Load tests: calls at a rate or from so many callers, made by a process of their own, and what they measured.

`plan`, `prompts`, `histogram`, `results`, `stopping`, `verdict` are pure; `client` and `runner` make the calls;
`python -m endpoints.loadtests` is the process; `process` starts it. None of them knows Django but `states`.
"""
