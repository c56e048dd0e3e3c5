// Shows an OME-Zarr by Viv's own loader and layer, at a place and a zoom that the address says.
// Places are Viv's: pixels of the finest level, from the image's first corner.
import { Deck, OrthographicView } from "@deck.gl/core";
import { ColorPaletteExtension, MultiscaleImageLayer, loadOmeZarr } from "@hms-dbmi/viv";

const asked = new URLSearchParams(location.search);
const { data, metadata } = await loadOmeZarr(asked.get("source"), { type: "multiscales" });
const channels = metadata.omero.channels;
const colours = channels.map(({ color }) => [0, 2, 4].map((at) => parseInt(color.slice(at, at + 2), 16)));
const layer = new MultiscaleImageLayer({
  id: "image",
  loader: data,
  selections: channels.map((_, c) => ({ c })),
  contrastLimits: channels.map(({ window }) => [window.start, window.end]),
  channelsVisible: channels.map(({ active }) => active),
  colors: colours,
  extensions: [new ColorPaletteExtension()],
});
const deck = new Deck({
  parent: document.body,
  views: new OrthographicView({ id: "view" }),
  initialViewState: { target: [Number(asked.get("x")), Number(asked.get("y")), 0], zoom: Number(asked.get("zoom")) },
  layers: [layer],
});
window.seen = {
  shapes: data.map(({ shape }) => shape),
  transforms: metadata.multiscales[0].datasets[0].coordinateTransformations,
  ready: () => deck.isInitialized && deck.layerManager.getLayers().length > 1 && deck.layerManager.getLayers().every((each) => each.isLoaded),
};
