"""Reads what ``/metrics`` tells."""

from prometheus_client.parser import text_string_to_metric_families

Sample = tuple[str, tuple[tuple[str, str], ...]]


class Told:
    """The samples of one exposition."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series that have these labels."""
        wanted = set(labels.items())
        return sum(value for (found, has), value in self.samples.items() if found == name and wanted <= set(has))

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The same for each set of values of these labels; without those that are 0."""
        found: dict[tuple[str, ...], float] = {}
        for (sample, has), value in self.samples.items():
            if sample == name and value:
                key = tuple([dict(has)[label] for label in labels])
                found[key] = found.get(key, 0) + value
        return found
