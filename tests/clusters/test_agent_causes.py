"""From an engine's last lines to the cause: what only looks like an error is not taken for one."""

from __future__ import annotations

from clusters.agent.causes import explain


def test_a_warning_that_quotes_an_error_is_not_the_cause() -> None:
    """Seen with vLLM 0.32.0 on a machine with a low limit of open files."""
    log = ("(APIServer pid=1) WARNING 11-21 02:05:39 [system_utils.py:255] Found ulimit of 20000 and failed to raise it. "
           "This can cause fd limit errors like `OSError: [Errno 24] Too many open files`.\n"
           "(EngineCore pid=2) ERROR 11-21 02:38:42 [core.py:1512] RuntimeError: Worker failed with error 'no kernel'\n")
    assert explain(0, log).sentence == "The engine failed: Worker failed with error 'no kernel'"
