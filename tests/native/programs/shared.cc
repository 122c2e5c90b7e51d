// Optimised, a line is a dozen calls of the library inlined into each other.
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>
#include <functional>
struct Item { std::string name; int price; virtual ~Item() = default; virtual int cost(int n) const { return price * n; } };
struct Discounted : Item { int percent; int cost(int n) const override { return price * n * (100 - percent) / 100; } };
class Shop {
    std::map<std::string, std::shared_ptr<Item>> stock_;
    std::vector<std::function<void(int)>> watchers_;
    int total_ = 0;
public:
    void add(std::shared_ptr<Item> item) { stock_[item->name] = std::move(item); }
    void watch(std::function<void(int)> f) { watchers_.push_back(std::move(f)); }
    int total() const { return total_; }
    int sell(const std::string &name, int n) {
        auto found = stock_.find(name);
        if (found == stock_.end()) throw std::string("no ") + name;
        int cost = found->second->cost(n);
        total_ += cost;
        for (auto &w : watchers_) w(total_);
        return cost;
    }
};
int main() {
    Shop shop;
    auto a = std::make_shared<Item>(); a->name = "pen"; a->price = 2;
    auto b = std::make_shared<Discounted>(); b->name = "ink"; b->price = 10; b->percent = 25;
    shop.add(a); shop.add(b);
    int peak = 0;
    shop.watch([&peak](int t) { if (t > peak) peak = t; });
    const char *names[] = {"pen", "ink", "cap", "ink"};
    for (int i = 0; i < 8; i++) {
        try {
            int c = shop.sell(names[i % 4], i - 2);
            printf("%s %d total %d\n", names[i % 4], c, shop.total());
        } catch (std::string &e) {
            printf("%s\n", e.c_str());
        }
    }
    printf("peak %d\n", peak);
    return 0;
}
