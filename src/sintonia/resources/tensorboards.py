"""TensorBoard resources: a job's series and their points (source: aiplatform v1 tensorboard_service and its types)."""

from __future__ import annotations

from pydantic import Field

from sintonia.resources.base import Double, Int64, Resource, Timestamp, WireEnum


class Tensorboard(Resource):
    name: str
    display_name: str | None = None
    description: str | None = None
    is_default: bool | None = None


class TensorboardRun(Resource):
    name: str
    display_name: str | None = None
    description: str | None = None
    create_time: Timestamp | None = None
    update_time: Timestamp | None = None
    labels: dict[str, str] = Field(default_factory=dict)


class TensorboardExperiment(TensorboardRun):
    source: str | None = None


class ValueType(WireEnum, proto="TensorboardTimeSeries.ValueType"):
    VALUE_TYPE_UNSPECIFIED = "VALUE_TYPE_UNSPECIFIED", 0
    SCALAR = "SCALAR", 1


class TimeSeriesMetadata(Resource, proto="TensorboardTimeSeries.Metadata"):
    max_step: Int64 | None = None
    max_wall_time: Timestamp | None = None


class TensorboardTimeSeries(Resource):
    """One series of a run; ``display_name`` is the metric's documented name."""

    name: str
    display_name: str | None = None
    value_type: ValueType | None = None
    create_time: Timestamp | None = None
    update_time: Timestamp | None = None
    plugin_name: str | None = None
    metadata: TimeSeriesMetadata | None = None


class Scalar(Resource):
    value: Double


class TimeSeriesDataPoint(Resource):
    wall_time: Timestamp | None = None
    step: Int64
    scalar: Scalar


class TimeSeriesData(Resource):
    tensorboard_time_series_id: str
    value_type: ValueType
    values: list[TimeSeriesDataPoint] = Field(default_factory=list)


class ReadData(Resource, proto="ReadTensorboardTimeSeriesDataResponse"):
    time_series_data: TimeSeriesData | None = None


class BatchReadData(Resource, proto="BatchReadTensorboardTimeSeriesDataResponse"):
    time_series_data: list[TimeSeriesData] = Field(default_factory=list)


class ExportRequest(Resource, proto="ExportTensorboardTimeSeriesDataRequest"):
    filter: str = ""
    page_size: Int64 | None = None
    page_token: str | None = None
    order_by: str = ""
