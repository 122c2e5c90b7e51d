// Threads that wait, in several ways, while the first one works; and some that have been joined.
#include <condition_variable>
#include <mutex>
#include <poll.h>
#include <semaphore.h>
#include <thread>
#include <unistd.h>
#include <vector>

static std::mutex lock;
static std::condition_variable changed;
static bool over;
static int ready;

static void arrive()
{
    std::lock_guard<std::mutex> guard(lock);
    ready++;
    changed.notify_all();
}

struct Account {
    int balance = 100;
    std::vector<int> moves;
    void move(int by)
    {
        balance += by;
        moves.push_back(by);
    }
    bool agrees() const
    {
        int sum = 100;
        for (int by : moves)
            sum += by;
        return sum == balance;
    }
};

int main()
{
    int ends[2];
    sem_t never;
    if (pipe(ends) || sem_init(&never, 0, 0))
        return 1;
    std::vector<std::thread> crew;
    crew.emplace_back([] {
        std::unique_lock<std::mutex> guard(lock);
        ready++;
        changed.notify_all();
        changed.wait(guard, [] { return over; });
    });
    crew.emplace_back([&] { arrive(); pollfd one = {ends[0], POLLIN, 0}; poll(&one, 1, -1); });
    crew.emplace_back([&] { arrive(); sem_wait(&never); });
    std::vector<std::thread> joined;
    for (int i = 0; i < 3; i++)
        joined.emplace_back(arrive);
    for (std::thread &one : joined)
        one.join();
    {
        std::unique_lock<std::mutex> guard(lock);
        changed.wait(guard, [] { return ready == 6; });
    }
    Account account;
    for (int i = 0; i < 30; i++) {
        account.move(i);
        if (i == 17)
            account.balance -= 1;
    }
    int failed = account.agrees() ? 0 : 1;
    {
        std::lock_guard<std::mutex> guard(lock);
        over = true;
        changed.notify_all();
    }
    sem_post(&never);
    if (write(ends[1], "x", 1) != 1)
        return 2;
    for (std::thread &one : crew)
        one.join();
    return failed;
}
