The error for a number that is out of range states the range.
