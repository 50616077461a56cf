"""Jobs, their output and their store; knows no HTTP and no engine but by its interface."""
