"""What `ostrack doctor` looks at: the machine, the network's arithmetic, the data sets in a folder."""
