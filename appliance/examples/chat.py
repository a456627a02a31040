"""One question through the appliance with the official OpenAI SDK: `python chat.py [URL] [KEY FILE]`."""

import sys
from pathlib import Path

from openai import OpenAI

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/v1"
KEY_FILE = Path(sys.argv[2] if len(sys.argv) > 2 else "var/keys/first-api-key")

client = OpenAI(base_url=URL, api_key=KEY_FILE.read_text().strip())
stream = client.chat.completions.create(
    model="auto",
    messages=[{"role": "user", "content": "Составь письмо клиенту: Иванов Пётр Сергеевич, телефон +7 916 123-45-67."}],
    stream=True,
)
for chunk in stream:
    if chunk.choices and chunk.choices[0].delta.content:
        sys.stdout.write(chunk.choices[0].delta.content)
        sys.stdout.flush()
sys.stdout.write("\n")
