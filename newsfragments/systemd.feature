A server notifies systemd when it is serving, reloading or stopping, of its state, and that it is
alive; ``contrib/systemd`` has unit files.
