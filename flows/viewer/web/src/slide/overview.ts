// The small picture of the whole slide shows what the pane shows, in the same order.

import type OpenSeadragon from "openseadragon";

type Copy = OpenSeadragon.TiledImage & { _originalForNavigator?: OpenSeadragon.TiledImage };

/**
 * The library repeats each change of order by its number, on copies that come later than what they are copies of: changes in
 * haste meet copies that are not there yet. Here the copies that are there take the order of their originals.
 */
export function keepOverviewAlike(viewer: OpenSeadragon.Viewer): void {
  const overview = viewer.navigator as OpenSeadragon.Viewer | undefined;
  if (!overview) return;
  viewer.world.removeAllHandlers("item-index-change");
  // A copy is told what it is a copy of just after it was added.
  const follow = (): void => queueMicrotask(() => order(itemsOf(viewer.world), overview.world));
  viewer.world.addHandler("item-index-change", follow);
  overview.world.addHandler("add-item", follow);
}

function itemsOf(world: OpenSeadragon.World): OpenSeadragon.TiledImage[] {
  return Array.from({ length: world.getItemCount() }, (_, index) => world.getItemAt(index));
}

function order(originals: readonly OpenSeadragon.TiledImage[], world: OpenSeadragon.World): void {
  const place = (copy: Copy): number => originals.indexOf(copy._originalForNavigator!);
  const copies: Copy[] = itemsOf(world);
  for (const copy of copies) if (place(copy) < 0) world.removeItem(copy);
  copies
    .filter((copy) => place(copy) >= 0)
    .sort((one, other) => place(one) - place(other))
    .forEach((copy, index) => {
      if (world.getIndexOfItem(copy) !== index) world.setItemIndex(copy, index);
    });
}
