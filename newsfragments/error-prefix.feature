What a command says when it fails begins with ``rdv:``, as scripts and people know it from other programs; so do the errors of wrong usage.
