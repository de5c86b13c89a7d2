import { useAgent } from "agents/react";
import { type FormEvent, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import type { Reminders } from "./index";
import type { RemindersState, When } from "./reminders";

const name = new URLSearchParams(location.search).get("name") || "mine";
const KINDS = { delay: "in … seconds", date: "at a date", cron: "by cron", every: "every … seconds" };
const LABELS = { delay: "Seconds", date: "Date and time", cron: "Cron expression (UTC)", every: "Seconds" };
const SPOKEN: Record<string, string> = { delayed: "once", scheduled: "once", cron: "cron", interval: "repeats" };
const time = (ms: number) => new Date(ms).toLocaleTimeString();
const soon = () => {
  const then = new Date(Date.now() + 120_000); // the field has whole minutes
  return new Date(then.getTime() - then.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
};
const examples = { delay: () => "10", date: soon, cron: () => "* * * * *", every: () => "15" };

function App() {
  const [state, setState] = useState<RemindersState>({ armed: [], fired: [] });
  const [open, setOpen] = useState(false);
  const [error, setError] = useState("");
  const now = useNow();
  const agent = useAgent<Reminders, RemindersState>({
    agent: "reminders",
    name,
    onStateUpdate: setState,
    onOpen: () => setOpen(true),
    onClose: () => setOpen(false),
  });
  const run = (call: Promise<unknown>) => call.then(() => setError(""), (problem: Error) => setError(problem.message));

  return (
    <main>
      <div className="row between">
        <h1>Reminders</h1>
        <span className="status" role="status" data-open={open}>{open ? `list “${name}”` : "connecting …"}</span>
      </div>
      <p className="lead">Armed alarms live in the agent’s database. Close this page or restart the server; they fire all the same.</p>
      <Form arm={(text, when) => run(agent.stub.remind(text, when))} />
      <p className="small" role="alert" style={{ color: "var(--bad)" }}>{error}</p>
      <section className="card" aria-labelledby="armed">
        <h2 id="armed">Armed</h2>
        <ul className="plain" data-list="armed">
          {state.armed.map((item) => (
            <li key={item.id} className="row between">
              <span>{item.text} <span className="soft small">{SPOKEN[item.kind]}, {until(item.next - now)}</span></span>
              <button type="button" className="quiet" aria-label={`Cancel ${item.text}`} onClick={() => run(agent.stub.cancel(item.id))}>Cancel</button>
            </li>
          ))}
        </ul>
        {state.armed.length === 0 && <p className="soft" style={{ margin: 0 }}>Nothing is waiting; the agent may sleep.</p>}
      </section>
      <section className="card" aria-labelledby="fired">
        <h2 id="fired">Fired</h2>
        <ol className="plain" data-list="fired" aria-live="polite">
          {state.fired.map((item) => (
            <li key={`${item.at} ${item.text}`}>{item.text} <span className="soft small">{SPOKEN[item.kind]}, {time(item.at)}</span></li>
          ))}
        </ol>
        {state.fired.length === 0 && <p className="soft" style={{ margin: 0 }}>Nothing yet.</p>}
      </section>
    </main>
  );
}

function Form({ arm }: { arm: (text: string, when: When) => void }) {
  const [kind, setKind] = useState<When["kind"]>("delay");
  const [value, setValue] = useState(examples.delay());

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const text = new FormData(event.currentTarget).get("text") as string;
    if (kind === "date") arm(text, { kind, at: new Date(value).toISOString() });
    else if (kind === "cron") arm(text, { kind, cron: value });
    else arm(text, { kind, seconds: Number(value) });
  }
  function choose(next: When["kind"]) {
    setKind(next);
    setValue(examples[next]());
  }

  const type = kind === "date" ? "datetime-local" : kind === "cron" ? "text" : "number";
  return (
    <form className="card row" style={{ alignItems: "end" }} onSubmit={submit}>
      <label className="grow">Remind me to<input name="text" required maxLength={200} defaultValue="drink some water" /></label>
      <label className="grow">When
        <select name="kind" value={kind} onChange={(event) => choose(event.target.value as When["kind"])}>
          {Object.entries(KINDS).map(([key, text]) => <option key={key} value={key}>{text}</option>)}
        </select>
      </label>
      <label className="grow">{LABELS[kind]}<input name="value" required type={type} min="1" value={value} onChange={(event) => setValue(event.target.value)} /></label>
      <button>Arm it</button>
    </form>
  );
}

function until(ms: number) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `in ${seconds} s`;
  return seconds < 7200 ? `in ${Math.round(seconds / 60)} min` : `on ${new Date(Date.now() + ms).toLocaleString()}`;
}

function useNow() {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  return now;
}

createRoot(document.getElementById("app")!).render(<App />);
