export interface Item {
  name: string;
  price: number;
  quantity: number;
}

export class Basket {
  private items: Item[] = [];

  add(item: Item): void {
    this.items.push(item);
  }

  total(): number {
    
  }

  isEmpty(): boolean {
    return this.items.length === 0;
  }
}
