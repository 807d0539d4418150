"""What the load tests share: an installation of its own, the engine, questions over HTTP, and figures."""
