"""A day of a shop: orders are placed and cancelled, and in the evening the till does not agree with the order book.

Shows: fred-reverse-watch finds the one statement, in the middle of a long run, that took the wrong amount.
The wrong statement leaves no trace of its own: the program runs on to the end as if nothing had happened.
"""


class Order:
    """An open order, an element of a linked list."""

    def __init__(self, number, price, discount, following):
        self.number = number
        self.price = price
        self.discount = discount
        self.following = following

    def to_pay(self):
        return self.price - self.discount


class Shop:
    def __init__(self):
        self.till = 0
        self.newest = None

    def place(self, number, price, discount):
        order = Order(number, price, discount, self.newest)
        self.till += order.to_pay()
        self.newest = order

    def cancel(self, number):
        before, order = None, self.newest
        while order is not None and order.number != number:
            before, order = order, order.following
        if order is None:
            return
        self.till -= order.price
        if before is None:
            self.newest = order.following
        else:
            before.following = order.following

    def agrees(self):
        """Whether the till holds what the open orders have paid."""
        due, order = 0, self.newest
        while order is not None:
            due, order = due + order.to_pay(), order.following
        return self.till == due


def day(shop, orders=200):
    for number in range(1, orders + 1):
        price = 20 + number * 37 % 180
        discount = price // 10 if number % 12 == 0 else 0
        shop.place(number, price, discount)
        if number % 7 == 0:
            shop.cancel(number - 3)


shop = Shop()
day(shop)
print("the till is right" if shop.agrees() else "the till is WRONG")
