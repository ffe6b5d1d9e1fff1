"""The versions of models: shows them, and takes a human's word on which one scores."""
