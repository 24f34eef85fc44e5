"""The service's database: one table, and where it is."""

import os

from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
    cents: Mapped[int]
    is_confirmed: Mapped[bool] = mapped_column(default=False)


# SQLAlchemy's URL names the driver too; riverrun takes the same database from the same variable.
url = make_url(os.environ["RIVERRUN_DATABASE_URL"]).set(drivername="postgresql+asyncpg")
engine = create_async_engine(url)
new_session = async_sessionmaker(engine, expire_on_commit=False)
