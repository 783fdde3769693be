"""Tasks: real datasets and the splits they are judged on."""
