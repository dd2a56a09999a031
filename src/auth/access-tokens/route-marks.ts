import type { ExecutionContext } from '@nestjs/common';

/** What the decorators of a route say: they say it once, and are asked with every request. */
export class RouteMarks<Mark> {
  private readonly byHandler = new WeakMap<object, { readonly mark: Mark }>();

  /** @param read from the decorators of these, the first of which has precedence */
  constructor(private readonly read: (targets: [handler: () => void, controller: new () => void]) => Mark) {}

  of(context: ExecutionContext): Mark {
    const handler = context.getHandler();
    const known = this.byHandler.get(handler);
    if (known !== undefined) {
      return known.mark;
    }
    const mark = this.read([handler as () => void, context.getClass()]);
    this.byHandler.set(handler, { mark });
    return mark;
  }
}
