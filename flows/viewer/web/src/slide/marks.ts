// Marks over one pane: the outline that was chosen, where the other pane's pointer is, the cross that keys aim with.

import { el } from "../dom";
import type { Point } from "./geometry";
import type { Pane } from "./pane";

type Outline = readonly (readonly [number, number])[];

export class Marks {
  private readonly canvas = el("canvas", { class: "marks", "aria-hidden": "true" });
  private chosen: Outline | null = null;
  private pointer: Point | null = null;

  constructor(private readonly pane: Pane) {
    pane.element.append(this.canvas);
    pane.viewer.addHandler("update-viewport", () => this.draw());
    pane.viewer.addHandler("resize", () => this.draw());
    pane.element.addEventListener("focusin", () => this.draw());
    pane.element.addEventListener("focusout", () => this.draw());
  }

  choose(outline: Outline | null): void {
    this.chosen = outline;
    this.draw();
  }

  point(point: Point | null): void {
    this.pointer = point;
    this.draw();
  }

  private draw(): void {
    const { clientWidth, clientHeight } = this.pane.element;
    const ratio = devicePixelRatio;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    const context = this.canvas.getContext("2d");
    if (context === null) return;
    context.scale(ratio, ratio);
    if (this.chosen !== null) this.drawOutline(context, this.chosen);
    if (this.pointer !== null) cross(context, this.pane.pixelOf(this.pointer), 9);
    if (this.pane.viewer.canvas.matches(":focus-visible")) cross(context, { x: clientWidth / 2, y: clientHeight / 2 }, 14);
  }

  private drawOutline(context: CanvasRenderingContext2D, outline: Outline): void {
    const path = new Path2D();
    for (const [x, y] of outline) {
      const pixel = this.pane.pixelOf({ x, y });
      path.lineTo(pixel.x, pixel.y);
    }
    path.closePath();
    twice(context, path, 3);
  }
}

function cross(context: CanvasRenderingContext2D, at: Point, arm: number): void {
  const path = new Path2D();
  path.moveTo(at.x - arm, at.y);
  path.lineTo(at.x + arm, at.y);
  path.moveTo(at.x, at.y - arm);
  path.lineTo(at.x, at.y + arm);
  twice(context, path, 1.5);
}

/** A light line on a dark one: seen on any tissue. */
function twice(context: CanvasRenderingContext2D, path: Path2D, width: number): void {
  context.lineJoin = "round";
  context.strokeStyle = "#000000";
  context.lineWidth = width + 2;
  context.stroke(path);
  context.strokeStyle = "#ffffff";
  context.lineWidth = width;
  context.stroke(path);
}
