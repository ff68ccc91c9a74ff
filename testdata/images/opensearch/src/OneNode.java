import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.opensearch.Version;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.Node;
import org.opensearch.plugins.PluginInfo;

/** A node with the modules of its class path. Each argument is setting=value. */
public final class OneNode extends Node {
  private static final String[] MODULES = {
    "org.opensearch.transport.Netty4ModulePlugin", "org.opensearch.index.reindex.ReindexModulePlugin", "org.opensearch.painless.PainlessModulePlugin",
    "org.opensearch.analysis.common.CommonAnalysisModulePlugin", "org.opensearch.index.mapper.MapperExtrasModulePlugin", "org.opensearch.join.ParentJoinModulePlugin",
  };

  private OneNode(Environment environment, List<PluginInfo> modules) {
    super(environment, modules, true);
  }

  private static PluginInfo module(String name) {
    return new PluginInfo(name, "on the class path", "NA", Version.CURRENT, "21", name, List.of(), false);
  }

  public static void main(String[] args) throws Exception {
    Path home = Path.of(System.getProperty("path.home"));
    Settings.Builder settings = Settings.builder().loadFromPath(home.resolve("config/opensearch.yml")).put("path.home", home.toString());
    for (String arg : args) settings.put(arg.split("=", 2)[0], arg.split("=", 2)[1]);
    Environment environment = new Environment(settings.build(), home.resolve("config"));
    LogConfigurator.setNodeName(settings.get("node.name"));
    LogConfigurator.configure(environment);
    Node node = new OneNode(environment, Stream.of(MODULES).map(OneNode::module).toList());
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        node.close();
      } catch (Exception e) {
        e.printStackTrace();
      }
    }));
    node.start();
    new CountDownLatch(1).await();
  }
}
