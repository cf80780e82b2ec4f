``Client.dial`` and ``accept``, the endpoints and the commands take several servers (``[url, url]``,
or separated by commas on a command line and in ``RDV_SERVER``). Both peers contact the same one
first, by a hash of the token, and meet if both can reach any of them. ``rank_servers`` orders any
number of servers for a token, and ``NoServer`` says that no server accepts the client.
