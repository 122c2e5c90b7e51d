// Templates, exceptions, virtual calls, the standard library's containers.
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

template <typename T> struct Box {
    T value;
    T twice() const { return value + value; }
};

template <typename T> T largest(const std::vector<T> &values) {
    T most = values.at(0);
    for (const T &value : values)
        if (most < value)
            most = value;
    return most;
}

struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
};

struct Square : Shape {
    double side;
    explicit Square(double side) : side(side) {}
    double area() const override { return side * side; }
};

namespace deep {
int thrower(int depth) {
    if (depth == 0)
        throw std::runtime_error("deep down");
    return thrower(depth - 1) + 1;
}
} // namespace deep

int main() {
    std::vector<int> numbers{3, 1, 4, 1, 5};
    std::map<std::string, int> ages{{"ann", 31}, {"bob", 27}};
    std::string text = "hello";
    Box<int> box{21};
    Box<std::string> words{"ab"};
    std::unique_ptr<Shape> shape = std::make_unique<Square>(2.5);
    int most = largest(numbers);
    int caught = 0;
    double area = shape->area();
    try {
        deep::thrower(2);
    } catch (const std::exception &error) {
        text += error.what();
        caught++;
    }
    auto add = [&](int by) { return most + by; };
    most = add(box.twice());
    return most == 47 && caught == 1 && area > 6 && words.twice() == "abab" ? 0 : 1;
}
