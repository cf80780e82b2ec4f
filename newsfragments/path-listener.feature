A protocol that provides ``rdv.client.IPathListener`` is notified when its connection changes its
path.
