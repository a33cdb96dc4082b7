"""What a labelled set says of embeddings that were learnt without labels."""

from stillhouse.records.schema import Record


class ProbeScore(Record):
    """One network on the test rows of the probe, by the weights of its last epoch.

    Args:
        role, seed: what tables call it. 'supervised' is the student trained with the labels.
        neighbours: accuracy by the votes of nearest training rows.
        linear: accuracy of a linear classifier on the embedding.
        strength: C of that, chosen on held-out training rows.
        converged: whether its fit did.
        own: accuracy of the network's own classifier, where it has learnt one of these classes.
    """

    role: str
    seed: int
    neighbours: float
    linear: float
    strength: float
    converged: bool
    own: float | None = None


class ProbeRecord(Record):
    """A labelled set, and what embeddings are worth on it.

    Args:
        data: its name. train, test: its rows. classes: how many it has.
        neighbours: k, how many vote.
        temperature: of the weights of their votes.
        scores: of all networks.
    """

    data: str
    train: int
    test: int
    classes: int
    neighbours: int
    temperature: float
    scores: tuple[ProbeScore, ...]
