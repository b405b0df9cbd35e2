"""How fast the gateway is beside nginx, LiteLLM and vLLM's routers: `python -m bench.gateway --help`."""
