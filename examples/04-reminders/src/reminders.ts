// What the agent and the page agree on.
export type When =
  | { kind: "delay"; seconds: number }
  | { kind: "date"; at: string }
  | { kind: "cron"; cron: string }
  | { kind: "every"; seconds: number };

export interface Armed { id: string; text: string; kind: string; next: number }
export interface Fired { text: string; kind: string; at: number }
export interface RemindersState { armed: Armed[]; fired: Fired[] }
