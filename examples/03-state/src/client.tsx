import { useAgent } from "agents/react";
import { useState } from "react";
import { createRoot } from "react-dom/client";
import { type CanvasState, COLOURS, SIDE } from "./canvas";
import type { Canvas } from "./index";

const NAMES = ["paper", "ink", "brick", "amber", "moss", "sea", "plum"];
const colours = [...Array(COLOURS).keys()];
const name = new URLSearchParams(location.search).get("canvas") || "shared";

function App() {
  const [state, setState] = useState<CanvasState>();
  const [open, setOpen] = useState(false);
  const [brush, setBrush] = useState(5);
  const [error, setError] = useState("");

  // The whole connection: the state comes with the first frame and again after every change, ours or another tab's.
  const agent = useAgent<Canvas, CanvasState>({
    agent: "canvas",
    name,
    onStateUpdate: (next) => { setState(next); setError(""); },
    onStateUpdateError: setError,
    onOpen: () => setOpen(true),
    onClose: () => setOpen(false),
  });
  const paint = (cell: number) => agent.stub.paint(cell, brush).catch((problem: Error) => setError(problem.message));

  return (
    <main>
      <div className="row between">
        <h1>State</h1>
        <span className="status" role="status" data-open={open}>{open ? `canvas “${name}”` : "connecting …"}</span>
      </div>
      <p className="lead">One agent keeps this canvas. Open it in two tabs: every stroke and the title stay in step.</p>
      {state && <>
        <section className="card">
          <label>Title
            <input value={state.title} maxLength={60} onChange={(event) => agent.setState({ ...state, title: event.target.value })} />
          </label>
        </section>
        <div className="row brushes" role="radiogroup" aria-label="Colour">
          {colours.map((colour) => (
            <button key={colour} type="button" role="radio" aria-checked={brush === colour} aria-label={NAMES[colour]}
              className={`swatch c${colour}`} onClick={() => setBrush(colour)} />
          ))}
          <button type="button" className="quiet" onClick={() => agent.stub.clear()}>Clear</button>
        </div>
        <div className="canvas" role="group" aria-label={state.title}>
          {state.cells.map((colour, cell) => (
            <button key={cell} type="button" className={`cell c${colour}`} onClick={() => paint(cell)}
              aria-label={`row ${Math.floor(cell / SIDE) + 1}, column ${(cell % SIDE) + 1}, ${NAMES[colour]}`} />
          ))}
        </div>
      </>}
      <p className="small" role="alert" style={{ color: "var(--bad)" }}>{error}</p>
      <footer>Another one: <a href={`?canvas=${name === "shared" ? "mine" : "shared"}`}>{name === "shared" ? "mine" : "shared"}</a></footer>
    </main>
  );
}

createRoot(document.getElementById("app")!).render(<App />);
