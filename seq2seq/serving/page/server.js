// Questions to the server, and its problems in words for people.
//
// Why: the server may be away, busy, or refuse a text; only the first two are worth another attempt.

export class Problem extends Error {
  constructor(message, passes) {
    super(message);
    this.passes = passes; // whether another attempt may succeed
  }
}

// The answer of the server; raises Problem with a text for people.
export async function request(path, body, signal) {
  let answer, content;
  const key = document.getElementById("key").value;
  if (body && key) body.api_key = key;
  try {
    const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    answer = await fetch(path, { ...options, signal, credentials: "same-origin" });
    content = await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (!answer) throw new Problem("The server does not answer. Your text stays here.", true);
    throw new Problem(`The server answers ${answer.status} without a reason.`, answer.status >= 500);
  }
  if (answer.ok) return content;
  const reason = typeof content?.error === "string" ? content.error : `status ${answer.status}`;
  const passes = answer.status === 429 || answer.status >= 502;
  throw new Problem(`The server ${passes ? "cannot answer now" : "refuses this"}: ${reason}`, passes);
}
