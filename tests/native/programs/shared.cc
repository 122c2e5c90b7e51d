// Optimised, a line is a dozen calls of the library inlined into each other.
#include <map>
#include <memory>
#include <string>

struct Item {
    std::string name;
    int price;
    virtual ~Item() = default;
    virtual int cost(int n) const { return price * n; }
};

struct Discounted : Item {
    int percent;
    int cost(int n) const override { return price * n * (100 - percent) / 100; }
};

int main()
{
    std::map<std::string, std::shared_ptr<Item>> stock;
    auto pen = std::make_shared<Item>();
    pen->name = "pen";
    pen->price = 2;
    auto ink = std::make_shared<Discounted>();
    ink->name = "ink";
    ink->price = 10;
    ink->percent = 25;
    stock[pen->name] = pen;
    stock[ink->name] = ink;
    int sum = 0;
    for (auto &[name, item] : stock)
        sum += item->cost(3);
    return sum & 63;
}
