"""Makes moto distinguish metrics with the same name by their dimensions, as CloudWatch does.

CloudWatch matches the dimensions of a statistics request exactly. moto uses them as a filter, so a request without
dimensions would add up all metrics with that name.
"""

import copy

from moto.cloudwatch.models import CloudWatchBackend

lenient_statistics = CloudWatchBackend.get_metric_statistics


def exact_statistics(backend, *arguments, dimensions, **named):
    wanted = {(dimension["Name"], dimension["Value"]) for dimension in dimensions}
    view = copy.copy(backend)
    view.get_all_metrics = lambda: [
        datum
        for datum in backend.get_all_metrics()
        if {(dimension.name, dimension.value) for dimension in datum.dimensions} == wanted
    ]
    return lenient_statistics(view, *arguments, dimensions=dimensions, **named)


def install():
    CloudWatchBackend.get_metric_statistics = exact_statistics
