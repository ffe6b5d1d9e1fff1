"""The `brewline` command: what people type."""
