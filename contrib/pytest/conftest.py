pytest_plugins = ["pytest_pvesim"]
