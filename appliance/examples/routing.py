"""Where requests go and why: one question under several names of models: `python routing.py [URL] [KEY FILE] [NAME…]`."""

import sys
from pathlib import Path

from openai import APIStatusError, OpenAI

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080/v1"
KEY_FILE = Path(sys.argv[2] if len(sys.argv) > 2 else "var/keys/first-api-key")
NAMES = sys.argv[3:] or ["auto", "auto:cheap", "auto:fast", "auto:round-robin", "auto:round-robin"]

client = OpenAI(base_url=URL, api_key=KEY_FILE.read_text().strip())
sys.stdout.write("Модели: " + ", ".join(model.id for model in client.models.list()) + "\n")
for name in NAMES:
    try:
        raw = client.chat.completions.with_raw_response.create(
            model=name, messages=[{"role": "user", "content": "Назови столицу России одним словом."}]
        )
    except APIStatusError as error:  # a refusal by policy, or no route that answers
        sys.stdout.write(f"{name}: {error.status_code} {error.message}\n")
        continue
    completion = raw.parse()
    usage = completion.usage
    cost = (usage.model_extra or {}).get("cost_rub") if usage else None
    price = "цена неизвестна" if cost is None else f"{cost:.6f} ₽"
    sys.stdout.write(
        f"{name} → {raw.headers['x-route']} ({raw.headers['x-route-reason']}, {raw.headers['x-verdict']}), {price}\n"
    )
