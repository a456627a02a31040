"""The SIEM stream: every record of the log, in order, to collectors; pseudonyms of people stay here."""

from appliance.siem.formats import Format, Told, line
from appliance.siem.settings import FileSink, SinkSettings, TcpSink, TlsSink, host_and_port, problems_of_sinks
from appliance.siem.stream import Stream
from appliance.siem.transport import opened

__all__ = [
    "FileSink",
    "Format",
    "SinkSettings",
    "Stream",
    "TcpSink",
    "TlsSink",
    "Told",
    "host_and_port",
    "line",
    "opened",
    "problems_of_sinks",
]
