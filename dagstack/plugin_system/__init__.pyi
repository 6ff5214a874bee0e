from dagstack_plugins import *
