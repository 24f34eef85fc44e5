"""A script without an event loop that inserts jobs, works them, and prints what became of them."""

import csv
import io

from riverrun import Job, SyncClient, Workers

SALES = {
    "north": "item,pieces\ntea,3\ncake,2\n",
    "south": "item,pieces\ntea,10\n",
    "west": "item,pieces\ntea,many\n",
}

workers = Workers()


@workers.job(max_attempts=1)
def count_sales(job: Job, region: str) -> None:
    """Runs on one of the client's threads; several regions are counted at once."""
    rows = csv.DictReader(io.StringIO(SALES[region]))
    job.record_output(sum(int(row["pieces"]) for row in rows))


def main() -> None:
    with SyncClient(workers=workers, queues={"default": 4}) as client:
        with client.running(), client.subscribe() as events:
            results = client.insert_many(count_sales.call(region) for region in SALES)
            for _ in results:
                events.get()
        for region, result in zip(SALES, results, strict=True):
            job = client.jobs.get(result.job.id)
            outcome = job.errors[-1].error if job.errors else f"{job.output} pieces"
            print(f"{region}: {job.state}, {outcome}")


if __name__ == "__main__":
    main()
