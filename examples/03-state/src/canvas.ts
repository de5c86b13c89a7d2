// What the agent and the page agree on.
export const SIDE = 12;
export const COLOURS = 7; // 0 is empty paper

export interface CanvasState {
  title: string;
  cells: number[]; // SIDE × SIDE colours, row by row
}
