A number that an option cannot have is told with those that it can.
