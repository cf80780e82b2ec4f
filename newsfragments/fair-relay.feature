With many busy pairs, the relay is fair: of 1000 concurrent pairs, the slowest gets 0.8 of the mean
instead of 0.2.
