``rdv serve`` and ``twist rdv`` have ``--serve MODULE:CALLABLE``, which loads a ``serve`` hook, in each worker. Workers run the asyncio reactor if their parent does.
