// One pane or two. Of two, the one last used leads and the other follows.

import type { Slide } from "../api";
import { el } from "../dom";
import type { Point } from "./geometry";
import { Marks } from "./marks";
import { Pane, type Side } from "./pane";
import { pictures, type Shown, type State, type View } from "./state";

type Pointed = (point: Point | null) => void;

export class Panes {
  private readonly left: Pane;
  private right: Pane | null = null;
  private leader: Pane;
  private readonly marks = new Map<Pane, Marks>();
  private readonly moved: (() => void)[] = [];
  private readonly pointed: Pointed[] = [];
  private readonly clicked: ((point: Point) => void)[] = [];
  private readonly made: ((pane: Pane) => void)[] = [];
  private readonly lost: (() => void)[] = [];

  /** `element` and `navigator` must be in the page, for their size counts. */
  constructor(
    private readonly element: HTMLElement,
    private slide: Slide,
    private readonly state: State,
    navigator: HTMLElement,
  ) {
    this.left = this.make("left", navigator);
    this.leader = this.left;
    state.listen((now, before) => this.follow(now, before));
  }

  /** Goes to where the state says. */
  begin(): void {
    this.left.goTo(this.state.now.view);
    if (this.state.now.mode === "two") this.open();
    this.retell();
  }

  get active(): Pane {
    return this.leader;
  }

  get all(): Pane[] {
    return this.right !== null && this.state.now.mode === "two" ? [this.left, this.right] : [this.left];
  }

  onMove(listener: () => void): void {
    this.moved.push(listener);
  }

  onPoint(listener: Pointed): void {
    this.pointed.push(listener);
  }

  onClick(listener: (point: Point) => void): void {
    this.clicked.push(listener);
  }

  /** Called with every pane, also one that is made later. */
  onPane(listener: (pane: Pane) => void): void {
    this.made.push(listener);
    listener(this.left);
    if (this.right !== null) listener(this.right);
  }

  /** Called when a part of what should be seen did not come. */
  onLost(listener: () => void): void {
    this.lost.push(listener);
  }

  show(view: View, immediately = true): void {
    this.leader.goTo(view, immediately);
  }

  renew(slide: Slide): void {
    this.slide = slide;
    this.left.renew(slide);
    this.right?.renew(slide);
  }

  /** Ids of the pictures that there are. */
  pictures(): string[] {
    return pictures(this.slide).map((layer) => layer.id);
  }

  /** Marks on the picture: what was chosen. */
  mark(outline: readonly (readonly [number, number])[] | null): void {
    for (const marks of this.marks.values()) marks.choose(outline);
  }

  private make(side: Side, navigator: HTMLElement | null): Pane {
    const holder = el("div", { class: "pane" });
    this.element.append(holder);
    const pane = new Pane(holder, this.slide, this.state, side, navigator, {
      loaded: () => this.busy(),
      lost: () => this.lost.forEach((listener) => listener()),
    });
    const marks = new Marks(pane);
    this.marks.set(pane, marks);
    const { viewer } = pane;
    const lead = (): void => {
      this.leader = pane;
    };
    holder.addEventListener("pointerdown", lead, true);
    holder.addEventListener("wheel", lead, { capture: true, passive: true });
    holder.addEventListener("focusin", lead);
    viewer.addHandler("viewport-change", () => this.lead(pane));
    viewer.addHandler("animation-finish", () => {
      if (pane === this.leader) this.retell();
    });
    viewer.addHandler("canvas-click", (event) => {
      if (event.quick) for (const listener of this.clicked) listener(pane.level0At(event.position));
    });
    holder.addEventListener("pointermove", (event) => {
      const corner = holder.getBoundingClientRect();
      this.point(pane, pane.level0At({ x: event.clientX - corner.left, y: event.clientY - corner.top }));
    });
    holder.addEventListener("pointerleave", () => this.point(pane, null));
    for (const listener of this.made) listener(pane);
    return pane;
  }

  /** Says whether anything is still on its way. */
  private busy(): void {
    queueMicrotask(() => this.element.setAttribute("aria-busy", String(!this.all.every((pane) => pane.settled))));
  }

  private point(from: Pane, point: Point | null): void {
    for (const listener of this.pointed) listener(point);
    for (const [pane, marks] of this.marks) if (pane !== from) marks.point(point);
  }

  private lead(pane: Pane): void {
    if (pane !== this.leader) return;
    for (const other of this.all) {
      if (other !== pane) other.goTo({ ...pane.centre, zoom: pane.zoom });
    }
    for (const listener of this.moved) listener();
  }

  /** Tells the state where we are. */
  private retell(): void {
    const { x, y } = this.leader.centre;
    this.state.change({ view: { x, y, zoom: this.leader.zoom } });
    for (const listener of this.moved) listener();
  }

  private follow(now: Shown, before: Shown): void {
    if (now.mode === before.mode) return;
    if (now.mode === "two") this.open();
    else if (this.right !== null) this.close();
  }

  private open(): void {
    this.right ??= this.make("right", null);
    this.right.element.classList.remove("away");
    this.right.goTo(this.state.now.view);
  }

  /** The right pane goes out of sight but keeps its size: a viewer of no size has no zoom to come back to. */
  private close(): void {
    this.leader = this.left;
    this.right?.element.classList.add("away");
  }
}
