"""The program on a host: calls the portal, runs the engines that it orders. No Django, nothing else of ours."""

VERSION = "0.1.0"
