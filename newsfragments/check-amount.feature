``rdv check`` moves 4 MB instead of 67 to fill the relay of a server elsewhere, and says so before it begins.
