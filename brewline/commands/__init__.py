"""What the command line reads of each group of commands; what they do stands in the modules that they call."""
