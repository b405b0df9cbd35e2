"""The playground: try the workspace's models in a browser, by the same door and at the same price as programs."""
