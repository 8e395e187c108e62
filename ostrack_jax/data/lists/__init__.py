"""Published lists of sequences: what is official in each benchmark."""
