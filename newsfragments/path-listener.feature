A protocol that provides ``rdv.client.IPathListener`` is told when its connection has changed its path.
