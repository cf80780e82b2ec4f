``--serve MODULE:CALLABLE`` loads a ``serve`` hook into a server, in each worker. Workers run the
asyncio reactor if their parent does.
